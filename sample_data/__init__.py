"""Sample catalogues that come with Fusescope, and the generator that made them."""
