"""Who we are to a registry: credentials, where they are kept, and the tokens that they are exchanged for."""
