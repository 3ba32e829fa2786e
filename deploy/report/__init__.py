"""Tables and figures about data sets and runs."""
