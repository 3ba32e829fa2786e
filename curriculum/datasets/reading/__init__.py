"""What every data set form is read with: fields of a record, tests that are code, options."""
