package peers

import (
	"sync"
	"time"
)

// Memory is what the processes of a box hold, in octets.
type Memory struct {
	PSS       int64 // shared pages are divided among those that share them
	RSS       int64 // shared pages count for each
	Peak      int64 // the sum of the largest resident sets so far
	Processes int
}

// Held is the resident set of a single process, and the sum of the PSS of
// several.
func (m Memory) Held() int64 {
	if m.Processes == 1 {
		return m.RSS
	}
	return m.PSS
}

// Memory is what the box holds now.
func (b *Box) Memory() (Memory, error) {
	list, err := b.pids()
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	for _, pid := range list {
		s, err := readSizes(pid)
		if err != nil {
			return m, err
		}
		m.PSS += s.pss
		m.RSS += s.rss
		m.Peak += s.peak
		m.Processes++
	}
	return m, nil
}

// A Watch looks ten times a second, and less often if looking at many
// processes takes long: it has to leave the machine to those that are measured.
const (
	watchEvery = 100 * time.Millisecond
	watchShare = 50 // it looks a fiftieth of the time
)

// A Watch notes the most that a box holds. Stop it.
type Watch struct {
	box  *Box
	quit chan struct{}
	done sync.WaitGroup
	most int64
	err  error
}

// Watch looks at the memory of the box until it is stopped.
func (b *Box) Watch() *Watch {
	w := &Watch{box: b, quit: make(chan struct{})}
	w.done.Go(w.run)
	return w
}

func (w *Watch) run() {
	for {
		began := time.Now()
		m, err := w.box.Memory()
		if err != nil {
			w.err = err
			return
		}
		w.most = max(w.most, m.Held())
		select {
		case <-w.quit:
			return
		case <-time.After(max(watchEvery, watchShare*time.Since(began))):
		}
	}
}

// Stop ends the watch and returns the most that the box held since, in
// octets. Of a single process the kernel knows it; of several it is the largest
// sum of their PSS that was seen.
func (w *Watch) Stop() (int64, error) {
	close(w.quit)
	w.done.Wait()
	if w.err != nil {
		return 0, w.err
	}
	m, err := w.box.Memory()
	if err == nil && m.Processes == 1 {
		return m.Peak, nil
	}
	return max(w.most, m.Held()), err
}
