package compare

import "time"

// latencyStage sends one message at a time.
func latencyStage() stage {
	return stage{only: "latency", siteOptions: siteOptions{sign: true}, works: []*work{{
		title: "One message at a time, 4 KiB, " + signing(true),
		note:  "From MAIL to the arrival at the next hop, over connections that are kept.",
		columns: []column{
			{name: "median ms", digits: 2, less: true, ratio: true}, {name: "99 % ms", digits: 1, less: true, ratio: true},
		},
		run: func(s *site) ([]float64, error) { return s.latency(scaled(200, s.scale)) },
	}}}
}

// latencyLimit is how long all of them may take: a slow peer sends fewer.
const latencyLimit = 20 * time.Second

func (s *site) latency(n int) ([]float64, error) {
	c, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	m := newMessage(smallSize)
	var times []float64
	for end := time.Now().Add(latencyLimit); len(times) < n && time.Now().Before(end); {
		took, err := s.submitOne(c, m)
		if err != nil {
			return nil, err
		}
		times = append(times, took.Seconds()*1000)
	}
	return []float64{quantile(times, 0.5), quantile(times, 0.99)}, c.quit()
}

// submitOne returns how long a message took from MAIL to its arrival.
func (s *site) submitOne(c *client, m *message) (time.Duration, error) {
	m.setNumber(s.next)
	l := newLedger(s.next, 1, m.text())
	s.next++
	s.sink.ledger.Store(l)
	if err := c.submit(m); err != nil {
		return 0, err
	}
	return s.arrive(l, 1)
}
