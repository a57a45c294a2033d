"""Real builds, recorded and compared with what their own logs say."""
