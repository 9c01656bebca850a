"""From what people say of alerts to the next training: verdicts, labels, and who is to be champion."""
