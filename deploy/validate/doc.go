// Package validate checks the files by which Pharos is installed: the Helm
// chart, the Compose file, the systemd units and the Dockerfile are read by the
// tools' own parsers, and every flag and variable in them must be one that the
// binaries built from this tree know. It is a module of its own so that those
// parsers are no dependencies of Pharos.
package validate
