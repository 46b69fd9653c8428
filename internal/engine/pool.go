package engine

import "github.com/RoaringBitmap/roaring/v2"

// pool holds items under small ids, which are used again once dropped. Id 0 is none.
type pool[T any] struct {
	items []*T
	free  []uint32
}

func (p *pool[T]) add(item *T) uint32 {
	if n := len(p.free); n > 0 {
		id := p.free[n-1]
		p.free = p.free[:n-1]
		p.items[id] = item
		return id
	}
	if len(p.items) == 0 {
		p.items = append(p.items, nil)
	}
	p.items = append(p.items, item)
	return uint32(len(p.items) - 1)
}

func (p *pool[T]) at(id uint32) *T { return p.items[id] }

func (p *pool[T]) drop(id uint32) {
	p.items[id] = nil
	p.free = append(p.free, id)
}

// each visits the items whose ids are in the bitmap.
func (p *pool[T]) each(ids *roaring.Bitmap, yield func(id uint32, item *T)) {
	ids.Iterate(func(id uint32) bool {
		yield(id, p.items[id])
		return true
	})
}
