"""What measurements of the gradient's signal say: tables, a page, a picture."""
