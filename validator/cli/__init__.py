"""The trader's half of the `hansa` command: keys, orders, money, markets. A light install has all but `deposit`."""
