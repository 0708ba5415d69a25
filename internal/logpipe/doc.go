// Package logpipe is the hot path of log monitoring: it compiles a
// logrule.Spec, cuts lines into the columns the rule needs, filters them,
// finds their time, groups them by key and aggregates them into windows that
// are sent as internal/partial tables.
//
// A Program is a compiled rule and may be shared. A Task aggregates one
// monitor over all its files. A Group runs several tasks over one file in one
// pass: line ends, equal delimiters, equal columns and equal time rules are
// worked out once a line.
//
// It promises that
//   - what a line contributes depends only on the line, the FileState before
//     it and the clock given by the caller, so that replaying the same bytes
//     from a checkpoint gives the same windows;
//   - sums are exact for numbers of at most six decimals;
//   - bad input is counted and sampled, and never stops anything;
//   - time is linear in the length of a line, whatever the rule or the line;
//   - nothing is allocated per line once the keys of a window are known,
//     except by regular expressions that need the fallback engine.
package logpipe
