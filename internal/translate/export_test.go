package translate

// Sizes returns how much of everything a translator holds, for tests: without
// objects, nothing but the fixed tiers.
func (t *Translator) Sizes() map[string]int {
	e := t.endpoints
	selectors, entities := t.policies.Len()
	return map[string]int{
		"objects": len(t.objects) - 3, "tiers": len(t.tiers.byName) - 3, "tiers named": len(t.tiers.policies), "namespaces": len(t.namespaces.byName),
		"errors": len(e.errors), "rejected": len(t.rejected), "invalid": len(t.statuses.invalid), "counts": len(t.statuses.counts),
		"selectors": selectors, "entities": entities,
		"records": e.records.Len(), "keys": e.byKey.Len(), "words": e.words.Len(), "podTemplateKeys": e.podTemplateKeys.Len(),
		"profiles":    len(t.profiles.byName) + len(t.profiles.hosts) + len(t.profiles.ofNamespaces.named) + len(t.profiles.ofNamespaces.inModel) + e.profileTexts.Len() + len(e.profileLists),
		"controllers": e.controllers.entries.Len() + e.controllers.index.Len(), "ports": e.ports.Len() + len(e.portLists),
		"pairs": e.pairs.Len(), "lists": len(e.lists), "links": len(e.links), "origins": len(e.origins) + len(e.hostAddrs),
		"numbers of namespaces": len(t.namespaces.numbers) - 1 - len(t.namespaces.free),
		"left of a step":        len(t.step.before) + len(t.step.dirty) + len(t.step.readded) + len(t.step.labels) + len(t.step.profiles) + len(t.step.profileLists) + len(t.step.cameOrWent) + len(t.step.namespaceProfiles),
	}
}
