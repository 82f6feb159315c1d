"""Stand-ins to try the bridge against: vendors nobody can run, and the page that explains them."""
