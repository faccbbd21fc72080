"""Your own arrays and tables, as a data set of several parties."""
