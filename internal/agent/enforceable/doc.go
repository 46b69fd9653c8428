// Package enforceable finds out of which of a node's endpoints the host's hooks do not see all
// traffic, so that policy for them is in the kernel and not in force: bridges that pass by the
// hooks, devices that were moved into pods, programs that forward packets ahead of the
// stack, and other engines that decide beside this one.
//
// Three parts, each of which knows nothing of the ones after it: what the host has ([Host], read by
// [Inspect] and by package hostlink), what follows for which endpoint ([Judge]: a function of data, so that
// what this kernel lacks can be tested), and the words for it ([Reason]).
//
// What must hold:
//
//   - On doubt an endpoint is not enforceable, and the reason says what makes it so.
//   - Looking costs no more in a large cluster: other programs' tables are asked for by name and
//     never read as a whole.
//   - What cannot be read is said, and takes nothing away that was found before.
package enforceable
