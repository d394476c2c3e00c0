"""A Kaggle machine on this one: no network, limited memory, its Python, mounts as Kaggle makes them."""
