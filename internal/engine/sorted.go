package engine

import (
	"cmp"
	"maps"
	"slices"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func sortedFunc[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

// eachDifference visits what is in only one of two sorted lists.
func eachDifference(old, now []uint32, visit func(id uint32, added bool)) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0] < now[0]:
			visit(old[0], false)
			old = old[1:]
		case len(old) == 0 || now[0] < old[0]:
			visit(now[0], true)
			now = now[1:]
		default:
			old, now = old[1:], now[1:]
		}
	}
}

// without removes the first v from the list; order is not kept.
func without(list []uint32, v uint32) []uint32 {
	if i := slices.Index(list, v); i >= 0 {
		list[i] = list[len(list)-1]
		return list[:len(list)-1]
	}
	return list
}

// insert adds v to a sorted list, once; remove takes it out. Both give a new list.
func insert(list []uint32, v uint32) []uint32 {
	i, found := slices.BinarySearch(list, v)
	if found {
		return list
	}
	return slices.Concat(list[:i], []uint32{v}, list[i:])
}

func remove(list []uint32, v uint32) []uint32 {
	i, found := slices.BinarySearch(list, v)
	if !found {
		return list
	}
	return slices.Concat(list[:i], list[i+1:])
}

// union merges two sorted lists.
func union(a, b []uint32) []uint32 {
	if len(b) == 0 {
		return a
	}
	u := slices.Concat(a, b)
	slices.Sort(u)
	return slices.Compact(u)
}

func insertSorted(list []int, v int) []int {
	i, _ := slices.BinarySearch(list, v)
	return slices.Insert(list, i, v)
}
