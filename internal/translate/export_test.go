package translate

// Sizes returns how much of everything a translator holds, for tests: without
// objects, nothing but the fixed tiers.
func (t *Translator) Sizes() map[string]int {
	e := t.endpoints
	selectors, entities := t.policies.Len()
	return map[string]int{
		"objects": len(t.objects) - 3, "tiers": len(t.tiers) - 3, "tiers named": len(t.inTier), "namespaces": len(t.namespaces),
		"troubles": len(t.troubles), "rejected": len(t.rejected), "invalid": len(t.invalid), "counts": len(t.counts),
		"selectors": selectors, "entities": entities,
		"records": e.records.Len(), "keys": e.byKey.Len(), "words": e.words.Len(), "shapes": e.shapes.Len(),
		"controllers": e.controllers.entries.Len() + e.controllers.index.Len(), "ports": e.ports.Len() + len(e.portLists),
		"pairs": e.pairs.Len(), "lists": len(e.lists), "links": len(e.links), "origins": len(e.origins) + len(e.hostAddrs),
		"numbers of namespaces": len(e.namespaces) - 1 - len(e.free),
		"left of a step":        len(t.step.before) + len(t.step.dirty) + len(t.step.held) + len(t.step.labels),
	}
}
