"""Answer a gateway, batch by batch, in competitions with an evaluation API."""
