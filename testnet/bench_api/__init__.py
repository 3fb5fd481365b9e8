"""What readers of the API cost the committee, and what a reader that never reads costs the others."""
