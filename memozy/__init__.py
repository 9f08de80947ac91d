"""What stages and the app share: record schemas, storage, models, tracking, pages. See each module's first line."""
