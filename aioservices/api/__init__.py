"""The services API: its endpoints, what they take and what they return."""
