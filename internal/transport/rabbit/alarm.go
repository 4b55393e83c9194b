package rabbit

import "time"

// alarm is a timer that only ever comes earlier: many that set it again and
// again do not put it off.
type alarm struct {
	timer *time.Timer
	at    time.Time // zero when it is not set
}

func newAlarm() *alarm {
	a := &alarm{timer: time.NewTimer(time.Hour)}
	a.timer.Stop()
	return a
}

func (a *alarm) set(after time.Duration) {
	if at := time.Now().Add(after); a.at.IsZero() || at.Before(a.at) {
		a.at = at
		a.timer.Reset(after)
	}
}

func (a *alarm) rang() { a.at = time.Time{} }

func (a *alarm) unset() {
	if !a.at.IsZero() {
		a.timer.Stop()
		a.rang()
	}
}
