package failure

// SQLiteCode judges a result code: the driver's errors cannot be made by hand.
func SQLiteCode(code int) (Kind, Reason) { return sqliteCode(code) }
