package selector

// Parse reads a selector; a text of white space only is all(). Errors are of type
// *SyntaxError.
func Parse(text string) (*Selector, error) {
	if len(text) > MaxTextLen {
		return nil, tooLong(text, len(text))
	}
	p := parser{text: text}
	p.space()
	if p.pos == len(text) {
		return All(), nil
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.pos < len(text) {
		return nil, p.unexpected(expectedOperator)
	}
	canonical := appendNode(make([]byte, 0, len(text)+len(text)/4+8), &root, looseContext)
	if len(canonical) > MaxTextLen {
		return nil, tooLong(text, len(canonical))
	}
	// Most texts are canonical already: they need no second copy.
	if string(canonical) != text {
		text = string(canonical)
	}
	return &Selector{root: root, text: text}, nil
}

// parser reads a text from left to right, by recursive descent. Before every
// step pos stands at a token or at the end, never at white space.
type parser struct {
	text  string
	pos   int
	depth int
}

// or reads operands of || .
func (p *parser) or() (node, error) {
	first, err := p.and()
	if err != nil || !p.symbol("||") {
		return first, err
	}
	n := parent(opOr, 2)
	n.adopt(first)
	for {
		kid, err := p.and()
		if err != nil {
			return node{}, err
		}
		n.adopt(kid)
		if !p.symbol("||") {
			return n, nil
		}
	}
}

// and reads operands of && .
func (p *parser) and() (node, error) {
	first, err := p.not()
	if err != nil || !p.symbol("&&") {
		return first, err
	}
	n := parent(opAnd, 2)
	n.adopt(first)
	for {
		kid, err := p.not()
		if err != nil {
			return node{}, err
		}
		n.adopt(kid)
		if !p.symbol("&&") {
			return n, nil
		}
	}
}

// not reads an operand with any number of ! before it, in a loop, so that they
// need no depth.
func (p *parser) not() (node, error) {
	negated, negations := false, false
	for p.symbol("!") {
		negated, negations = !negated, true
	}
	n, err := p.operand(negations)
	if err == nil && negated {
		n = negate(n)
	}
	return n, err
}

// operand reads what stands between the logical operators.
func (p *parser) operand(negated bool) (node, error) {
	if p.pos == len(p.text) {
		return node{}, p.unexpected(expectedOperand)
	}
	if p.text[p.pos] == '(' {
		return p.parentheses()
	}
	word, err := p.label(expectedOperand)
	if err != nil {
		return node{}, err
	}
	// A word is a function only if its parenthesis follows at once.
	if p.pos < len(p.text) && p.text[p.pos] == '(' {
		switch word {
		case "all":
			return p.function(node{op: opAll})
		case "global":
			return p.function(node{op: opGlobal})
		case "has":
			return p.function(node{op: opHas})
		}
	}
	p.space()
	if negated && p.depth >= MaxDepth {
		// Its canonical text has parentheses.
		return node{}, p.tooDeep()
	}
	return p.comparison(word)
}

func (p *parser) parentheses() (node, error) {
	if p.depth >= MaxDepth {
		return node{}, p.tooDeep()
	}
	p.depth++
	p.symbol("(")
	n, err := p.or()
	if err != nil {
		return node{}, err
	}
	if !p.symbol(")") {
		return node{}, p.unexpected(expectedClosing)
	}
	p.depth--
	return n, nil
}

// function reads the arguments of has, all or global.
func (p *parser) function(n node) (node, error) {
	p.symbol("(")
	if n.op == opHas {
		key, err := p.label(expectedLabel)
		if err != nil {
			return node{}, err
		}
		n.key = key
		p.space()
	}
	if !p.symbol(")") {
		return node{}, p.unexpected(`")"`)
	}
	return n, nil
}

// comparison reads what follows a label.
func (p *parser) comparison(key string) (node, error) {
	start := p.pos
	n := node{key: key}
	switch {
	case p.symbol("=="):
		n.op = opEquals
	case p.symbol("!="):
		n.op = opNotEquals
	case p.symbol("in"):
		n.op = opIn
	case p.symbols("not", "in"):
		n.op = opNotIn
	case p.symbol("contains"):
		n.op = opContains
	case p.symbols("starts", "with"):
		n.op = opStartsWith
	case p.symbols("ends", "with"):
		n.op = opEndsWith
	default:
		p.pos = start
		return node{}, p.noOperator(key)
	}
	var err error
	if n.op == opIn || n.op == opNotIn {
		var values []string
		values, err = p.set()
		return set(n.op, key, values), err
	}
	n.value, err = p.literal(expectedString)
	return n, err
}

// symbols reads two symbols, both or neither.
func (p *parser) symbols(first, second string) bool {
	start := p.pos
	if p.symbol(first) && p.symbol(second) {
		return true
	}
	p.pos = start
	return false
}

// set reads { 'a', 'b' }.
func (p *parser) set() ([]string, error) {
	if !p.symbol("{") {
		return nil, p.unexpected(expectedSet)
	}
	var values []string
	for {
		if p.symbol("}") {
			return sortedSet(values), nil
		}
		value, err := p.literal(expectedElement)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		if p.symbol(",") {
			continue
		}
		if !p.symbol("}") {
			return nil, p.unexpected(expectedComma)
		}
		return sortedSet(values), nil
	}
}
