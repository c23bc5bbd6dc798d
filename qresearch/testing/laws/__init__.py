"""Laws: what every scheme keeps."""
