"""Facts about machines that price lists name without saying what is in them."""
