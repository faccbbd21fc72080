"""How well are the library's data sets learned, and how far do their own rare rows carry a backdoor?"""
