"""The tests. A module opens with what it pins down; `oracle` and `problems` are shared by all of them."""
