package rpc

import (
	"time"
)

// watchIdle makes Accept return when the server has been idle long enough; whether
// it still is so then, accept finds out.
func (s *Server) watchIdle(l listener, rearm <-chan struct{}, done <-chan struct{}) {
	for {
		wait := s.idleLeft()
		if wait <= 0 {
			_ = l.SetDeadline(past)
			select {
			case <-rearm:
				continue
			case <-done:
				return
			}
		}
		select {
		case <-s.cfg.After(wait):
		case <-done:
			return
		}
	}
}

func (s *Server) idleLeft() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active > 0 {
		return s.cfg.Idle
	}
	return s.cfg.Idle - s.cfg.Now().Sub(s.last)
}

// retire ends the server if it is idle; if it is not, it has Config.Idle more.
// From a true answer on no call begins.
func (s *Server) retire() bool {
	working := s.cfg.Working()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active > 0 || s.cfg.Now().Sub(s.last) < s.cfg.Idle {
		return false
	}
	s.last = s.cfg.Now()
	if working {
		return false
	}
	for c := range s.conns {
		if !c.quiet() {
			return false
		}
	}
	s.close()
	return true
}
