package disk

const childEnv = "WAXWING_TEST_STORE"

func child(string) int { return 1 }
