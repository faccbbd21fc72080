"""What everything else is made of: configuration as data, checks, types, files, data of several parties."""
