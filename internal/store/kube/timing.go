package kube

import "time"

// timing holds all times that the behaviour depends on.
type timing struct {
	// retryMin and retryMax bound the pause before a stream is opened again.
	retryMin, retryMax time.Duration
	// grace is how long something must fail until that is a finding: the restart
	// of an API server behind a load balancer is none.
	grace time.Duration
	// settle is how long a stream must last to count as working.
	settle time.Duration
	// open is how long the answer to a request for a stream may take: some proxies
	// hold it back until the first event, which is a bookmark, within a minute.
	open time.Duration
	// lasting is how long a stream lasts at most; at least half of it.
	lasting time.Duration
	// idle is how long a server may send nothing before it has said that it has sent
	// all present objects. One that takes longer does not know how to say it.
	idle time.Duration
	// dependency is how long a change waits for what it refers to.
	dependency time.Duration
	// pollMin and pollMax bound the time between two looks at what is served; pollRare
	// is the most where only kinds are missing that most clusters do without.
	pollMin, pollMax, pollRare time.Duration
	// vanish is how long a kind that has objects must not be served for them to be gone.
	vanish time.Duration
}

func defaultTiming() timing {
	return timing{
		retryMin: 200 * time.Millisecond, retryMax: 15 * time.Second,
		grace: 5 * time.Second, settle: time.Second,
		open: 90 * time.Second, lasting: 10 * time.Minute, idle: 15 * time.Second,
		dependency: time.Second,
		pollMin:    2 * time.Second, pollMax: 30 * time.Second, pollRare: time.Minute, vanish: time.Minute,
	}
}
