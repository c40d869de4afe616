package sfu

// View says how large the client shows a slot, in device pixels (0: unknown), and
// whether it is on the screen.
type View struct {
	Slot          int
	Width, Height int
	Visible       bool
}

// SetViews replaces what is known of how the client shows its slots. A slot that
// is not named counts as visible, of unknown size, as all do before the first
// call; the last of two for one slot counts, and slots that are not there are
// passed over.
func (p *Participant) SetViews(views []View) {
	p.room.mu.Lock()
	p.views = p.views[:0]
	for _, v := range views {
		if v.Slot < 0 || v.Slot >= maxSlots {
			continue
		}
		for len(p.views) <= v.Slot {
			p.views = append(p.views, View{Slot: len(p.views), Visible: true})
		}
		p.views[v.Slot] = v
	}
	p.transport.media.path.urgent = true
	p.room.mu.Unlock()
	p.room.wake()
}

func (p *Participant) viewLocked(slot int) View {
	if slot < len(p.views) {
		return p.views[slot]
	}
	return View{Slot: slot, Visible: true}
}
