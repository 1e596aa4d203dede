"""`emberline alarms`: follow them, and do something about them."""
