"""From scored steps to alerts that open, are updated and are resolved."""
