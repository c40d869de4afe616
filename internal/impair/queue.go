package impair

// ring is a queue that grows and keeps its memory.
type ring[E any] struct {
	all   []E // as many as a power of two
	head  int
	count int
}

func (r *ring[E]) len() int { return r.count }

func (r *ring[E]) first() *E { return &r.all[r.head] }

func (r *ring[E]) push(e E) {
	if r.count == len(r.all) {
		grown := make([]E, max(16, 2*len(r.all)))
		n := copy(grown, r.all[r.head:])
		copy(grown[n:], r.all[:r.head])
		r.all, r.head = grown, 0
	}
	r.all[(r.head+r.count)&(len(r.all)-1)] = e
	r.count++
}

func (r *ring[E]) pop() E {
	e := r.all[r.head]
	clear(r.all[r.head : r.head+1])
	r.head = (r.head + 1) & (len(r.all) - 1)
	r.count--
	return e
}

// heap holds packets on the way, the next to arrive first. It is container/heap
// without boxing each element.
type heap[T any] struct{ all []packet[T] }

// before orders by arrival, and what arrives at once as it was sent.
func (p packet[T]) before(q packet[T]) bool {
	return p.at < q.at || p.at == q.at && p.number < q.number
}

func (h *heap[T]) first() (p packet[T], ok bool) {
	if len(h.all) == 0 {
		return p, false
	}
	return h.all[0], true
}

func (h *heap[T]) push(p packet[T]) {
	h.all = append(h.all, p)
	for i := len(h.all) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.all[i].before(h.all[up]) {
			return
		}
		h.all[i], h.all[up] = h.all[up], h.all[i]
		i = up
	}
}

// pop removes the first.
func (h *heap[T]) pop() {
	last := len(h.all) - 1
	h.all[0] = h.all[last]
	clear(h.all[last:])
	h.all = h.all[:last]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < last && h.all[child].before(h.all[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.all[i], h.all[least] = h.all[least], h.all[i]
		i = least
	}
}
