"""Turn pages plus a schema into an extraction. Know models, not queues."""
