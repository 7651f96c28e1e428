"""``python -m services.demo``: a campaign of 1,000 e-mails on this machine, to an inbox that nobody reads but you."""
