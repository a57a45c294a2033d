"""The saved queries: one file each. recorder/catalog.py reads them."""
