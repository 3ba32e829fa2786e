"""One module per published data set form; `curriculum.datasets.registry` lists them."""
