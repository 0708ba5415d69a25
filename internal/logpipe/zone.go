package logpipe

import "time"

// zone turns civil seconds of a location into Unix seconds. It remembers the
// offset for as long as it is sure to hold, so that the time zone database is
// asked only near changes of the offset.
type zone struct {
	loc      *time.Location
	from, to int64 // civil seconds between which off holds
	off      int64
}

// nearChange is how close to a change of offset, in seconds, each time is
// looked up for itself.
const nearChange = 6 * 3600

// unix returns the Unix seconds of a civil time given as seconds since
// 1970-01-01 00:00:00 of the location. A time that occurs twice or never is
// read as time.Date reads it.
func (z *zone) unix(civil int64) int64 {
	if civil >= z.from && civil < z.to {
		return civil - z.off
	}
	return z.lookup(civil)
}

func (z *zone) lookup(civil int64) int64 {
	c := time.Unix(civil, 0).UTC()
	t := time.Date(c.Year(), c.Month(), c.Day(), c.Hour(), c.Minute(), c.Second(), 0, z.loc)
	unix := t.Unix()
	start, end := t.ZoneBounds()
	_, off := t.Zone()
	z.off, z.from, z.to = int64(off), -1<<62, 1<<62
	if !start.IsZero() {
		z.from = start.Unix() + z.off + nearChange
	}
	if !end.IsZero() {
		z.to = end.Unix() + z.off - nearChange
	}
	return unix
}
