"""What stages and the app share: record schemas, tables, versions, models, tracking, pages. See each module's first line."""
