package console

//go:generate go run ./openapi web/openapi.json
