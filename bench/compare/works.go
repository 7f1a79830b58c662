package compare

import "time"

// The clients of most works, and how long they begin messages: a slow peer
// does less in that time, and no peer is waited for long.
const (
	manyClients  = 50
	rateMessages = 4000
	rateTime     = 4 * time.Second
	smallSize    = 4 << 10
)

func scaled(n int, scale float64) int { return max(20, int(float64(n)*scale)) }

func counted(n int) string { return column{}.format(float64(n)) }

// rateStage is the traffic of many small messages.
func rateStage(sign, login bool) stage {
	what := "4 KiB, 50 clients, " + signing(sign)
	if login {
		what += ", STARTTLS and AUTH PLAIN"
	} else {
		what += ", no TLS"
	}
	only := "rate"
	if login {
		only = "login"
	}
	st := stage{only: only, siteOptions: siteOptions{sign: sign, login: login}, direct: !sign && !login}
	st.works = []*work{
		rateWork(what+", connections kept", traffic{clients: manyClients, messages: rateMessages, size: smallSize, limit: rateTime}),
		rateWork(what+", a connection for each message", traffic{clients: manyClients, messages: rateMessages, size: smallSize, limit: rateTime, reconnect: true}),
	}
	return st
}

func signing(sign bool) string {
	if sign {
		return "DKIM with RSA-2048"
	}
	return "no DKIM"
}

func rateWork(title string, t traffic) *work {
	return &work{
		title: title,
		columns: []column{
			{name: "delivered/s", ratio: true}, {name: "accepted/s"},
			{name: "CPU ms", digits: 2, less: true}, {name: "peak MiB", less: true},
		},
		run: func(s *site) ([]float64, error) {
			now := t
			now.messages = scaled(t.messages, s.scale)
			o, err := s.send(now)
			if err != nil {
				return nil, err
			}
			return []float64{o.deliverRate(), o.acceptRate(), o.cpuMillis(), o.peakMiB()}, nil
		},
	}
}

// memoryStage is the traffic of big messages: faster than disk and next hop
// are, so that a server has to hold or to stop what comes in.
func memoryStage(scale float64) stage {
	const size = 5 << 20
	t := traffic{clients: 10, messages: scaled(200, scale), size: size, limit: 8 * time.Second}
	return stage{only: "memory", siteOptions: siteOptions{sign: true}, direct: true, works: []*work{{
		title: counted(t.messages) + " messages of 5 MiB, 10 clients, " + signing(true),
		columns: []column{
			{name: "delivered MB/s", ratio: true}, {name: "accepted MB/s"},
			{name: "CPU ms", less: true}, {name: "peak MiB", less: true, ratio: true},
		},
		run: func(s *site) ([]float64, error) {
			o, err := s.send(t)
			if err != nil {
				return nil, err
			}
			return []float64{o.deliverRate() * size / 1e6, o.acceptRate() * size / 1e6, o.cpuMillis(), o.peakMiB()}, nil
		},
	}}}
}
