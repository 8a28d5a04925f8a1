"""What one node holds of every member: the table, its merge rule and its digest."""
