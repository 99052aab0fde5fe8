import { renderToString } from 'react-dom/server';
import { Page } from './react.tsx';

export const render = (): string => renderToString(<Page />);
