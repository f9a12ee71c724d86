export function make(root) { root.textContent = ""; }
export function draw() {}
