"""The jobs an agent can do, one module each, and the table that names them."""
