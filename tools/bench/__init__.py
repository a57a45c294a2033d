"""What webpf costs, beside other recorders, and how long its queries take."""
