"""Where bytes live: one protocol, one suite, several stores."""
